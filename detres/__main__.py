import sys

from detres.commands.main import main

sys.exit(main())
