"""Files that hold pictures which this program cannot read, and what converts them."""

from __future__ import annotations

from pathlib import Path

_CAMERA_RAW = (
    *("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "gpr", "iiq", "kdc", "mef", "mos", "mrw", "nef", "nrw"),
    *("orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
)
_ADVICE = {
    _CAMERA_RAW: "camera raw; develop it to JPEG or 16-bit TIFF (darktable, RawTherapee, the camera maker's program)",
    ("svo", "svo2"): "a ZED recording; export it to PNG pairs or a side-by-side film with the ZED SDK (ZED_SVO_Export)",
    ("insv",): "an Insta360 film; export a flat or VR180 film with Insta360 Studio",
    ("360",): "a GoPro MAX film; export it with GoPro Player",
    ("bag", "rosbag"): "a ROS or RealSense recording; export its pictures (rs-convert -p, or image_saver of ROS)",
    ("db3", "mcap"): "a ROS 2 recording; export its pictures (image_saver of ROS 2, or the mcap tool)",
    (
        "exr",
        "hdr",
        "pfm",
        "dpx",
        "cin",
    ): "values of high dynamic range; tone-map it to PNG or JPEG (ImageMagick, Krita)",
    ("psd", "xcf", "kra", "ora"): "a file of a painting program; export PNG or TIFF",
    ("braw", "r3d", "crm", "ari"): "raw film of a cinema camera; export H.264 or ProRes with its maker's program",
    ("lfp", "lfr", "lif"): "a light field; export two views",
    ("lrv",): "the preview of a GoPro or Insta360 film, beside the film itself; named .mp4 it is read",
    ("wowmov",): "a film of Leia; export it side by side",
    ("jxl",): "JPEG XL files cannot be read; convert to JPEG or PNG",
    ("zip", "7z", "rar", "tar", "tgz"): "an archive; unpack it",
}
_ADVICE_OF = {f".{extension}": advice for extensions, advice in _ADVICE.items() for extension in extensions}


def how_to_convert(extension: str) -> str:
    """What to do about a file that cannot be read.

    extension: lower case, with its dot. Empty where the form is unknown here, or is one that can be read.
    """
    return _ADVICE_OF.get(extension, "")


def how_to_read_dat(file: Path) -> str:
    """What to do about a .dat file that begins as a film does, as on Video CDs; empty for all other .dat files."""
    try:
        with file.open("rb") as content:
            head = content.read(12)
    except OSError:
        return ""
    is_film = head.startswith(b"\0\0\1\xba") or (head[:4] == b"RIFF" and head[8:] == b"CDXA")
    return "a film of a Video CD; name it .mpg" if is_film else ""
