groupadd --system --gid 999 redis
useradd --system --gid redis --uid 999 --home-dir /data --shell /usr/sbin/nologin redis
