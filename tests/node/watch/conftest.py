from tests.node.watch.world import world

__all__ = ["world"]
