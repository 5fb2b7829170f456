# A kernel of the double: runs shell code and keeps its state. Lines come on descriptor 5, answers go to 4, and a mark on both
# outputs says that all of a run's output is written. python3 reads the JSON.
trap : INT
while IFS= read -r -u 5 line; do
  eval "$(python3 -c '
import json, shlex, sys
asked = json.loads(sys.argv[1])
for name in ("code", "mark"):
    print("_double_" + name + "=" + shlex.quote(asked[name]))
print("_double_env=(" + " ".join(shlex.quote(k + "=" + v) for k, v in asked["env"].items()) + ")")
' "$line")"
  for _double_pair in "${_double_env[@]}"; do export "${_double_pair?}"; done
  eval "$_double_code" 4>&- 5>&- </dev/null
  _double_status=$?
  for _double_pair in "${_double_env[@]}"; do unset "${_double_pair%%=*}"; done
  if [ "$_double_status" -ne 0 ]; then
    printf '{"type":"error","name":"Error","value":"exit status %d","traceback":""}\n' "$_double_status" >&4
  fi
  printf %s "$_double_mark"
  printf %s "$_double_mark" >&2
  echo '{"type":"end"}' >&4
done
