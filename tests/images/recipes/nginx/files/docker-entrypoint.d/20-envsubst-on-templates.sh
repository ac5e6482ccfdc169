#!/bin/bash
# Templates become configuration: variables that the environment has are filled in, others
# ($host, $uri) are nginx' own and stay.
set -euo pipefail

templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
output=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
[[ -d $templates ]] || exit 0

defined=$(compgen -e | sed 's/.*/${&}/' | tr '\n' ' ')
find "$templates" -follow -type f -name "*$suffix" -print0 | while IFS= read -r -d '' template; do
  target=$output/${template#"$templates"/}
  target=${target%"$suffix"}
  mkdir -p "$(dirname "$target")"
  envsubst "$defined" < "$template" > "$target"
done
