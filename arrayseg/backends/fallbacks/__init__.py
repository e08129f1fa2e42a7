"""Connected components and distances in functions of the Array API standard."""
