# threat: memory bomb, also by tmpfs, pipes and sockets
# attack: a shell and its tools that hold more than the limit
# ends: killed
# escapes: without Memory
taken=$(head -c $((2 * @MEMORY@)) /dev/zero | tr '\0' 'x' | { dd bs=$((2 * @MEMORY@)) iflag=fullblock count=1 2>/dev/null | wc -c; })
[ "${taken:-0}" -ge $((2 * @MEMORY@)) ] && escaped "$taken bytes in one buffer"
contained 'the tool failed'
