# threat: CPU hog, real-time priority, descriptor exhaustion
# attack: keeps several processes busy, and measures how much time they get
# needs: free processors
# escapes: without Cpu
began, children = time.monotonic(), []
for i in range(2 * @PROCESSORS@ + 2):
    pid = os.fork()
    if pid == 0:
        while time.monotonic() < began + 0.9: pass
        os._exit(0)
    children.append(pid)
used = 0
for pid in children:
    usage = os.wait4(pid, 0)[2]; used += usage.ru_utime + usage.ru_stime
share = used / (time.monotonic() - began)
if share > @PROCESSORS@ * 1.2 + 0.05: escaped('%.2f processors' % share)
contained('%.2f processors' % share)
