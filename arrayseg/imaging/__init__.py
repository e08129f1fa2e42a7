"""Operations on masks and label maps."""
