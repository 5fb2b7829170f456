# threat: TIOCSTI, TIOCLINUX, clock, hostname
# attack: sets the clock and asks to adjust it
# escapes: without Call:clock_settime
# escapes: unconfined as root
result = call(159, ctypes.create_string_buffer(256))
if result != -errno.EPERM: escaped('the clock can be asked how it is adjusted: %s' % name(result))
for title, arguments in (('settimeofday', (164, None, ctypes.create_string_buffer(8))), ('clock_settime', (227, 99, ctypes.create_string_buffer(16)))):
    result = call(*arguments)
    if result != -errno.EPERM: escaped('%s: %s' % (title, name(result)))
contained('refused')
