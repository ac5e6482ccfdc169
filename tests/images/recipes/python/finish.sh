# The official image keeps its own build here; what matters is that both names are found.
ln -s /usr/bin/python3 /usr/local/bin/python3
ln -s /usr/bin/python3 /usr/local/bin/python
