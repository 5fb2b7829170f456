# Runs code in a POSIX shell that keeps its state, for a caller at the other end of descriptor 3.
#
# A request is a line: the code as one word of the shell, in quotes, its line ends written as "$__e2b_nl". A shell can read lines,
# not lengths, and decodes words without starting a process. The reply is JSON behind its length as four bytes, little endian, as
# with the other workers. Variables, functions, options and the working directory stay; a code that exits takes them along.
while
	# Behind a redirection, so that set -x shows nothing of this.
	{
		__e2b_nl='
'
		IFS= read -r __e2b_word <&3 && eval "__e2b_code=$__e2b_word"
	} 2>/dev/null
do
	# command keeps the shell alive where a special built-in fails.
	command eval "$__e2b_code" 3<&-
	{
		__e2b_status=$?
		if [ "$__e2b_status" -eq 0 ]; then
			__e2b_reply='{"error":null}'
		else
			__e2b_reply='{"error":{"name":"ExitStatus","value":"exit status '$__e2b_status'","traceback":""}}'
		fi
		# The length in octal, below 256.
		__e2b_size=${#__e2b_reply}
		printf "\\$((__e2b_size / 64))$((__e2b_size / 8 % 8))$((__e2b_size % 8))\\000\\000\\000%s" "$__e2b_reply" >&3
	} 2>/dev/null
done
