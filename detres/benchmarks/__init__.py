"""detres held against its peers: torchvision, timm and pycocotools, on the same work and in the same process."""
