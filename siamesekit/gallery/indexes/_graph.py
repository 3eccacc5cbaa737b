"""What the indexes share whose vectors are joined to a graph of near neighbours."""

from siamesekit._checks import check_integer
from siamesekit.gallery.indexes.base import Index, Metric

__all__ = ["GraphIndex"]


class GraphIndex(Index):
    """A graph of near neighbours (HNSW [1]_): finds most of the nearest, in little time.

    Parameters
    ----------
    metric : {"cosine", "euclidean", "dot"}
    connectivity : int
        Neighbours of a vector in the graph, at least 2.
    expansion_add, expansion_search : int
        Candidates kept while a vector is added, and while one is searched for, at least 1: more of
        them miss less and take longer.

    References
    ----------
    .. [1] Y. Malkov, D. Yashunin, "Efficient and robust approximate nearest neighbor search using
       hierarchical navigable small world graphs", IEEE TPAMI 42, 2020.
    """

    def __init__(
        self,
        metric: Metric = "cosine",
        connectivity: int = 16,
        expansion_add: int = 100,
        expansion_search: int = 48,
    ) -> None:
        super().__init__(metric)
        self.connectivity = check_integer("connectivity", connectivity, low=2)
        self.expansion_add = check_integer("expansion_add", expansion_add, low=1)
        self.expansion_search = check_integer("expansion_search", expansion_search, low=1)
