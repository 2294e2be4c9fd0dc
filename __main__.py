"""The command line for whoever is in another folder: `python PATH/TO/THIS/FOLDER COMMAND`.

Messages print commands in this form, see `pack_command` in ootd_core/requirements.py.
"""

from cli.__main__ import main

if __name__ == "__main__":
    main()
