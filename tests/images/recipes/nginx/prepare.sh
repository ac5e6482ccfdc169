groupadd --system --gid 101 nginx
useradd --system --gid nginx --uid 101 --home-dir /nonexistent --shell /usr/sbin/nologin nginx
