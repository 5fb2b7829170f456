# threat: TIOCSTI, TIOCLINUX, clock, hostname
# attack: changes the name of the host and the date by the programs of the system
# escapes: without Capabilities
if hostname attacked 2>/dev/null; then escaped "the host is called $(hostname)"; fi
if { echo attacked >/proc/sys/kernel/hostname; } 2>/dev/null; then escaped 'the name was written'; fi
if [ -e /etc/shadow ]; then escaped 'this is the host'; fi
if date -s 2001-01-01 >/dev/null 2>&1; then escaped 'the date was set'; fi
contained 'both stay'
