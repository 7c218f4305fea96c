"""Rows in the space that they span: as many numbers a row as there are rows, whatever the number of features."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Told apart by it are rows that are alike, as a Cholesky factor wants it.
HAIR = 1e-6


def row_space(rows: Any) -> NDArray[np.float64]:  # noqa: ANN401 - a scipy sparse matrix [n, features]
    """Z [n, n], lower triangular, with Z Z' = X X' for rows X.

    L2-penalised weights are sums of the rows that were learned from (the representer theorem), so a linear model that
    learns from Z instead of X says the same.
    """
    likeness = (rows @ rows.T).toarray()
    likeness[np.diag_indices_from(likeness)] += HAIR
    root: NDArray[np.float64] = np.linalg.cholesky(likeness)
    return root
