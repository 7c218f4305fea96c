"""`python -m inhouse`, which launchers such as `accelerate launch -m inhouse` start."""

from inhouse.cli import main

if __name__ == "__main__":
    main()
