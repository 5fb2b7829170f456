# threat: overwrite the helper or an interpreter through `/proc/self/exe`
# attack: changes the worker programs, which every later sandbox of the template would run
# escapes: without ReadOnly LandlockFiles as user
# escapes: without ReadOnly DedicatedIds LandlockFiles as root
for file in /etc/e2bridge/shell.sh /etc/e2bridge/python.py /etc/e2bridge/node.js; do
  chmod u+w "$file" 2>/dev/null
  if true 2>/dev/null >>"$file"; then escaped "$file can be written"; fi
  if mv "$file" "$file.old" 2>/dev/null; then mv "$file.old" "$file"; escaped "$file can be replaced"; fi
done
contained 'the workers stay as they are'
