# threat: sysrq, core_pattern, modprobe, sysctl, kcore, kmsg, kallsyms, timers, slab and page tables
# attack: calls that are about the machine: modules, another kernel, reboot, swap, accounting, hardware ports, segments
# escapes: without Call:modify_ldt
# escapes: unconfined as root
buffer = ctypes.create_string_buffer(64)
missing = ctypes.c_char_p(b'/nonexistent/e2bridge')
# Each with arguments that do no harm wherever it works.
calls = {
    'init_module': (175, None, 0, missing), 'finit_module': (313, -1, missing, 0), 'delete_module': (176, missing, 0),
    'kexec_load': (246, 0, 0, None, 0), 'kexec_file_load': (320, -1, -1, 0, None, 0), 'reboot': (169, 0, 0, 0, None),
    'swapon': (167, missing, 0), 'swapoff': (168, missing), 'acct': (163, missing), 'quotactl': (179, 0x80000100, missing, 0, None),
    'ioperm': (173, 0x80, 1, 0), 'iopl': (172, 0), 'modify_ldt': (154, 0, buffer, 64), 'sysfs': (139, 3),
    'uselib': (134, missing), 'lookup_dcookie': (212, 0, buffer, 64),
}
for title, arguments in calls.items():
    result = call(*arguments)
    if result not in (-errno.EPERM, -errno.ENOSYS): escaped('%s is answered by the kernel: %s' % (title, name(result)))
contained('refused')
