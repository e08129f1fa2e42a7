"""Losses: pure functions `(input, target, *, options) -> array`, differentiable on every backend."""

from arrayseg.losses._active_boundary import active_boundary
from arrayseg.losses._affinity import affinity_field, context_prior_affinity
from arrayseg.losses._balanced import balanced_binary_cross_entropy, distance_weighted_cross_entropy
from arrayseg.losses._compound import compound, deep_supervision
from arrayseg.losses._connectivity import semantic_connectivity
from arrayseg.losses._cross_entropy import binary_cross_entropy, cross_entropy, nll
from arrayseg.losses._custom import pixel_loss
from arrayseg.losses._dice import dice, jaccard, region_loss, tversky
from arrayseg.losses._distance import (
    boundary,
    distance_weighted_dice,
    hausdorff_distance_transform,
    hausdorff_erosion,
    log_hausdorff_distance_transform,
)
from arrayseg.losses._divergence import jensen_shannon, kl_divergence
from arrayseg.losses._focal import (
    asymmetric,
    dual_focal,
    focal,
    focal_cosine,
    normalized_focal,
    quality_focal,
    reduced_focal,
)
from arrayseg.losses._generalized_dice import generalized_dice, generalized_wasserstein_dice, penalty_generalized_dice
from arrayseg.losses._lovasz import lovasz_hinge, lovasz_softmax
from arrayseg.losses._mining import bootstrapped_cross_entropy, ohem_cross_entropy, top_k_cross_entropy
from arrayseg.losses._multi_scale import multi_scale
from arrayseg.losses._mutual_information import region_mutual_information
from arrayseg.losses._named_compounds import (
    combo,
    dice_cross_entropy,
    dice_focal,
    exponential_logarithmic,
    generalized_dice_focal,
    unified_focal,
)
from arrayseg.losses._neighbors import neighbor_aware_cross_entropy
from arrayseg.losses._noise_robust import bi_tempered, generalized_cross_entropy, poly, symmetric_cross_entropy
from arrayseg.losses._one_hot import one_hot
from arrayseg.losses._overlap_variants import asymmetric_f_beta, focal_tversky, log_cosh_dice, log_dice, log_jaccard
from arrayseg.losses._point_sampling import point_sampled_cross_entropy
from arrayseg.losses._region_cells import matthews_corrcoef, sensitivity_specificity
from arrayseg.losses._skeleton import cb_dice, cl_dice, dice_cl_dice, skeleton_recall
from arrayseg.losses._soft_overlap import dice_semimetric, fine_grained_jaccard, jaccard_metric

__all__ = [
    "active_boundary",
    "affinity_field",
    "asymmetric",
    "asymmetric_f_beta",
    "balanced_binary_cross_entropy",
    "bi_tempered",
    "binary_cross_entropy",
    "bootstrapped_cross_entropy",
    "boundary",
    "cb_dice",
    "cl_dice",
    "combo",
    "compound",
    "context_prior_affinity",
    "cross_entropy",
    "deep_supervision",
    "dice",
    "dice_cl_dice",
    "dice_cross_entropy",
    "dice_focal",
    "dice_semimetric",
    "distance_weighted_cross_entropy",
    "distance_weighted_dice",
    "dual_focal",
    "exponential_logarithmic",
    "fine_grained_jaccard",
    "focal",
    "focal_cosine",
    "focal_tversky",
    "generalized_cross_entropy",
    "generalized_dice",
    "generalized_dice_focal",
    "generalized_wasserstein_dice",
    "hausdorff_distance_transform",
    "hausdorff_erosion",
    "jaccard",
    "jaccard_metric",
    "jensen_shannon",
    "kl_divergence",
    "log_cosh_dice",
    "log_dice",
    "log_hausdorff_distance_transform",
    "log_jaccard",
    "lovasz_hinge",
    "lovasz_softmax",
    "matthews_corrcoef",
    "multi_scale",
    "neighbor_aware_cross_entropy",
    "nll",
    "normalized_focal",
    "ohem_cross_entropy",
    "one_hot",
    "penalty_generalized_dice",
    "pixel_loss",
    "point_sampled_cross_entropy",
    "poly",
    "quality_focal",
    "reduced_focal",
    "region_loss",
    "region_mutual_information",
    "semantic_connectivity",
    "sensitivity_specificity",
    "skeleton_recall",
    "symmetric_cross_entropy",
    "top_k_cross_entropy",
    "tversky",
    "unified_focal",
]
