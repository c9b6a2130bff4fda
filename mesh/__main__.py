"""``python -m mesh``: the same as the console script ``mesh``."""

from mesh.cli import main

if __name__ == "__main__":
    main(prog_name="mesh")
