"""Which records teach most: uncertain, unlike what is labelled, and unlike each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Of how many times as many uncertain records as are wanted the different ones are chosen (beta in Zhdanov's paper).
SHORTLIST = 10


def margin_uncertainty(chances: Floats) -> Floats:
    """How near the two likeliest labels of each record are: 1 where they are equally likely, 0 where one is certain.

    Scheffer, Decomain, Wrobel: Active Hidden Markov Models for Information Extraction, 2001.

    Args:
        chances: [records, labels].
    """
    if chances.shape[1] < 2:
        return np.zeros(len(chances))
    best = np.partition(chances, -2, axis=1)[:, -2:]
    return np.asarray(1.0 - (best[:, 1] - best[:, 0]), np.float64)


def teaching_order(
    vectors: Floats, labelled: Floats, count: int, uncertainty: Floats | None = None, seed: int = 0
) -> list[int]:
    """The `count` records to label next, the one that teaches most first.

    Of the `SHORTLIST` times `count` most uncertain records, clustered by weighted k-means into `count` groups, the
    record nearest to the middle of each group: Zhdanov, Diverse mini-batch Active Learning, arXiv:1901.05954, 2019.
    A record's weight is its uncertainty times its distance to the nearest labelled one; where there is no uncertainty,
    as nothing could be learned yet, the distance alone.

    Args:
        vectors: [records, width], of unit length.
        labelled: [labelled records, width], likewise; may have no row.
        uncertainty: by record, 0 to 1.

    Returns:
        Positions of records, `count` of them or as many as there are.
    """
    from sklearn.cluster import KMeans

    count = min(count, len(vectors))
    if not count:
        return []
    weight = distance_to_nearest(vectors, labelled) * (1.0 if uncertainty is None else uncertainty)
    place = np.arange(len(vectors))
    if uncertainty is not None:
        place = np.argsort(-uncertainty, kind="stable")[: SHORTLIST * count]
    weights = np.maximum(weight[place], 1e-6)
    if len(np.unique(vectors[place], axis=0)) <= count:  # there are no groups to be found
        return [int(i) for i in place[np.argsort(-weights, kind="stable")]][:count]
    groups = KMeans(count, n_init=1, random_state=seed).fit(vectors[place], sample_weight=weights)
    away = np.linalg.norm(vectors[place] - groups.cluster_centers_[groups.labels_], axis=1)
    middle = [min(np.flatnonzero(groups.labels_ == g), key=lambda i: away[i]) for g in np.unique(groups.labels_)]
    return [int(place[i]) for i in sorted(middle, key=lambda i: -weights[i])]


def distance_to_nearest(vectors: Floats, others: Floats) -> Floats:
    """By vector, how far the nearest of the others is: 1 minus the cosine; 1 where there are none."""
    if not len(others):
        return np.ones(len(vectors))
    return np.asarray(np.clip(1.0 - (vectors @ others.T).max(axis=1), 0.0, 1.0), np.float64)
