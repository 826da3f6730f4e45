"""The one table of verbs: what can be asked of a daemon, and who may. Whatever is not in it does not exist."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from netsky.node.verbs import actors, blobs, bus, commits, control, dead, halt, handoffs, look, mesh, schedules
from netsky.node.verbs.owner import owner
from netsky.node.verbs.page import page
from netsky.node.verbs.proof import proof
from netsky.node.verbs.send import send
from netsky.node.verbs.status import status
from netsky.node.verbs.tick import tick
from netsky.node.verbs.trace import trace_verb
from netsky.node.verbs.verb import Verb
from netsky.node.verbs.watch import quiet, watchdog
from netsky.node.verbs.work import work_verb

TABLE: Mapping[str, Verb] = MappingProxyType(
    {
        "ping": Verb(control.ping, actors=True),
        "status": Verb(status, actors=True),
        "stop": Verb(control.stop, booked=True),
        "wait": Verb(control.wait, actors=True, waits=True),
        "follow": Verb(stream=control.follow, actors=True),
        "send": Verb(send, actors=True),
        "attach_begin": Verb(blobs.attach_begin, actors=True),
        "attach_put": Verb(blobs.attach_put, actors=True),
        "attachments": Verb(blobs.attachments, actors=True),
        "attachment_get": Verb(blobs.attachment_get, actors=True),
        "claim": Verb(bus.claim, actors=True),
        "release": Verb(bus.release, actors=True),
        "ack": Verb(bus.ack, actors=True),
        "inbox": Verb(bus.inbox_ls, actors=True),
        "replay": Verb(bus.replay, actors=True, booked=True),
        "forward_outbox": Verb(bus.forward_outbox, actors=True, booked=True),
        "quarantine_ls": Verb(bus.quarantine_ls, actors=True),
        "trace": Verb(trace_verb, actors=True),
        "proof": Verb(proof, actors=True),
        "query": Verb(look.query),
        "copy": Verb(look.copy, booked=True),
        "events": Verb(stream=look.events),
        "agent_add": Verb(actors.agent_add, booked=True),
        "agent_rm": Verb(actors.agent_rm, booked=True),
        "agent_kill": Verb(actors.agent_kill, booked=True),
        "agent_ls": Verb(actors.agent_ls, actors=True),
        "agent_logs": Verb(actors.agent_logs),
        "invite": Verb(mesh.invite, booked=True),
        "approve": Verb(mesh.approve, booked=True),
        "revoke": Verb(mesh.revoke, booked=True),
        "page": Verb(page, actors=True, booked=True),
        "deputy": Verb(mesh.deputy, booked=True),
        "halt": Verb(halt.halt, booked=True),
        "resume": Verb(halt.resume, booked=True),
        "halted": Verb(halt.halted, waits=True),
        "dead_ls": Verb(dead.dead_ls, actors=True),
        "dead_show": Verb(dead.dead_show, actors=True),
        "dead_retry": Verb(dead.dead_retry, actors=True, booked=True),
        "dead_drop": Verb(dead.dead_drop, booked=True),
        "nodes": Verb(mesh.nodes, actors=True),
        "owner": Verb(owner, actors=True),
        "tick": Verb(tick, booked=True),
        "cron_add": Verb(schedules.cron_add, actors=True, booked=True),
        "cron_ls": Verb(schedules.cron_ls, actors=True),
        "cron_rm": Verb(schedules.cron_rm, actors=True, booked=True),
        "cron_tick": Verb(schedules.cron_tick, booked=True),
        "cron_next": Verb(schedules.cron_next, actors=True),
        "loop_create": Verb(schedules.loop_create, actors=True, booked=True),
        "loop_ls": Verb(schedules.loop_ls, actors=True),
        "loop_rm": Verb(schedules.loop_rm, actors=True, booked=True),
        "loop_tick": Verb(schedules.loop_tick, booked=True),
        "loop_reschedule": Verb(schedules.loop_reschedule, actors=True, booked=True),
        "watchdog": Verb(watchdog, actors=True),
        "quiet": Verb(quiet, actors=True, booked=True),
        "restart_actor": Verb(handoffs.restart_actor, actors=True, booked=True),
        "handoffs": Verb(handoffs.handoffs_ls, actors=True),
        "new_life": Verb(handoffs.new_life, waits=True),
        "work_run": Verb(work_verb("run"), actors=True, booked=True),
        "work_wait": Verb(work_verb("wait"), actors=True, waits=True),
        "task_ls": Verb(work_verb("ls"), actors=True),
        "task_show": Verb(work_verb("show"), actors=True),
        "task_add": Verb(work_verb("add"), actors=True, booked=True),
        "task_tree": Verb(work_verb("tree"), actors=True),
        "task_cancel": Verb(work_verb("cancel"), actors=True, booked=True),
        "task_retry": Verb(work_verb("retry"), actors=True, booked=True),
        "task_unblock": Verb(work_verb("unblock"), booked=True),
        "task_reasons": Verb(work_verb("reasons"), actors=True),
        "note": Verb(work_verb("note"), actors=True),
        "commit_log": Verb(commits.commit_log),
        "commit_rollback": Verb(commits.commit_rollback, booked=True),
        "commit_decide": Verb(commits.commit_decide, booked=True),
        "gc": Verb(commits.gc, booked=True),
        "handoff_wait": Verb(handoffs.handoff_wait, actors=True, waits=True),
    }
)
