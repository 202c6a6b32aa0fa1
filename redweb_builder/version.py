"""The one place of the version: pyproject.toml reads it here, and a test compares CITATION.cff."""

__version__ = "0.1.0"
FORMAT = "redweb-builder/1"  # of the files of a data set
METHOD = 17  # raised when the method changes what a label is: two methods are never mixed in one folder
CHANGES = {  # what each method changed, for those who have an older data set
    9: "pairs of one folder share the order of their eyes",
    10: "frames of a clip have one alignment; blank areas are doubted; blobs of wrong flow are dropped",
    11: "a depth network is asked for the order of the eyes, for what is filled and what is sky, and whether it agrees",
    12: "DIS tries the global shift only where the preview was better from it; no label of the benchmarks is another",
    13: "black frames have no label; lights before a night sky are no sky; planes level off beyond their reach",
    14: "labels do not depend on the number of cores; the depth network sees long pictures squeezed to 4 : 3; "
    "wide areas are filled smoothly; fewer walls are sky; small views decide whether DIS begins at the global shift",
    15: "clouds, mist and the grain of old cards are no posters where the segmenter is sure of the sky; "
    "the edges of sky are guided by another implementation of the same filter; the depth network is asked for the eye "
    "order that the group makes likely, which decides in no pair of a set of 114 otherwise",
    16: "the flow of RAFT moves by rounding; with DIS no label is another",
    17: "towers and masts before the sky that the segmenter and the depth network both see are no sky; what the "
    "network puts beyond all that is measured is not nearer than the farthest of it",
}
