# threat: write host files, change /usr
# attack: opens for writing what a process has in /proc and only the second fence closes
# escapes: without LandlockFiles
for path in ('/proc/self/oom_score_adj', '/proc/self/comm', '/proc/self/mem', '/proc/self/clear_refs', '/proc/self/coredump_filter', '/proc/self/timerslack_ns', '/proc/self/attr/current', '/proc/self/uid_map', '/proc/self/setgroups'):
    try: os.close(os.open(path, os.O_WRONLY))
    except OSError: continue
    escaped('%s was opened for writing' % path)
contained('none was opened')
