"""Any file or folder of stereo photographs -> StereoPair: `discover` finds the pairs, `read.read_pair` reads one."""
