# The server's own programs instead of Debian's wrappers around several versions.
rm -f /usr/bin/psql /usr/bin/pg_*
ln -s /usr/lib/postgresql/*/bin/* /usr/local/bin/
mkdir -p /docker-entrypoint-initdb.d /var/lib/postgresql/data /run/postgresql
chown -R postgres:postgres /var/lib/postgresql /run/postgresql
chmod 1777 /var/lib/postgresql/data
chmod 3775 /run/postgresql
# Listening on all addresses is the default of the image, which a user's own file may change.
sample=$(echo /usr/share/postgresql/*/postgresql.conf.sample)
sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" "$sample"
grep -q "^listen_addresses = '\*'" "$sample"
# The JIT compiler is most of the image's size, and no test is about it: without it, plans are
# interpreted.
rm -rf /usr/lib/postgresql/*/lib/bitcode /usr/lib/postgresql/*/lib/llvmjit* /usr/lib/*/libLLVM*
rm -rf /usr/lib/llvm-*
