# threat: core dumps
# attack: raises the limit and dies of a fault, so that a core file appears, or a handler starts on the host
# escapes: without Limit:Core Call:prlimit64
import resource
try: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
except (OSError, ValueError):
    try: resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    except (OSError, ValueError): pass
limit = resource.getrlimit(resource.RLIMIT_CORE)
if limit != (1, 1): escaped('the limit is %s' % (limit,))
os.makedirs('/tmp/cores', exist_ok=True); os.chdir('/tmp/cores')
def work(): os.abort()
status = in_child(work)
found = [entry for entry in os.listdir('.') if os.path.getsize(entry)]
if found: escaped('core files: %s' % found)
contained('ended by signal %d without a file' % -status)
