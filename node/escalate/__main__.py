import sys

from netsky.node.escalate.program import main

sys.exit(main())
