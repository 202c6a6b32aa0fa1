"""Any file or folder of stereo photographs -> StereoPair: `discover` finds the pairs, `read_pair` reads one."""

from redweb_builder.inputs.discover import Discovery, discover
from redweb_builder.inputs.picture import read_picture
from redweb_builder.inputs.read import read_pair

__all__ = ["Discovery", "discover", "read_pair", "read_picture"]
