# threat: CPU hog, real-time priority, descriptor exhaustion
# attack: asks for real-time scheduling, for a deadline, for a higher priority and for memory that cannot be swapped
# escapes: unconfined as root
def real_time(): return 42 if any(call(144, 0, policy, struct.pack('i', 1)) >= 0 for policy in (1, 2)) else 0
def deadline(): return 42 if call(314, 0, struct.pack('IIQiIQQQ', 48, 6, 0, 0, 0, 10**6, 10**7, 10**7), 0) >= 0 else 0
def nicer(): return 42 if call(141, 0, 0, -5) >= 0 else 0
def first(): return 42 if call(251, 1, 0, 1 << 13) >= 0 else 0
for work in (real_time, deadline, nicer, first):
    if in_child(work) == 42: escaped(work.__name__)
import resource
for limit in (14, 13, resource.RLIMIT_MEMLOCK, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
    soft, hard = resource.getrlimit(limit)
    try:
        if hard >= 0: resource.setrlimit(limit, (hard + 1, hard + 1)); escaped('limit %d was raised' % limit)
    except (OSError, ValueError): pass
contained('refused')
