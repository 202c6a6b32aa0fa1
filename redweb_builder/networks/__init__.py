"""What all networks share: their files, the device that they run on, the input of pretrained encoders."""
