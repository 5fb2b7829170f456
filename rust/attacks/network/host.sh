# threat: host loopback, egress, the host's own address, 169.254.169.254, abstract and path unix sockets
# attack: a shell that looks for interfaces and routes beyond the loopback
# escapes: without Network
interfaces=$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | tr '\n' ' ')
[ "$interfaces" = 'lo ' ] || escaped "interfaces: $interfaces"
[ -z "$(tail -n +2 /proc/net/route)" ] || escaped 'there is a route'
grep -qi '@HOST_ABSTRACT@' /proc/net/unix && escaped 'sockets of the host are listed'
contained 'a loopback and nothing else'
