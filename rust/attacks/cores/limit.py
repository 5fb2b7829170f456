# threat: core dumps
# attack: lowers the limit to 0, at which a handler that core_pattern names is started on the host after all
# escapes: without Call:prlimit64
import resource
try: resource.setrlimit(resource.RLIMIT_CORE, (0, 1)); escaped('the limit is 0')
except (OSError, ValueError): pass
if call(160, 4, struct.pack('QQ', 0, 1)) >= 0: escaped('the limit is 0, by setrlimit')
if call(302, os.getpid(), 4, struct.pack('QQ', 0, 1), None) >= 0: escaped('the limit is 0, by its own number')
contained('the limit stays')
