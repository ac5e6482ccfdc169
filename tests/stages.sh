# Runs the functions stage_NAME of the script that sources this: in order, each with a limit, a log and a time, going on
# after a failure; ends with a table, the skips, and one line of counts. Sourced, not run.
#
# Reads: self (the script's path), stages (NAME:SECONDS...), budget (seconds, warned about only), log (a folder).
# shellcheck shell=bash disable=SC2154

# A child of its own for each stage, so that a limit ends all of it, and `set -e` holds inside.
run_stage() {
  local name=$1 limit=$2 code=0
  timeout --kill-after=20 "$limit" "$self" --stage "$name" >"$log/$name.log" 2>&1 </dev/null &
  running=$!
  wait "$running" || code=$?
  running=
  return "$code"
}

# Every way a test program of this repository tells how it went: libtest's summary, and one line per test or image of the
# harnesses that are not libtest.
counts='
  /^test result: / { for (i = 2; i <= NF; i++) {
      if ($i ~ /^passed;/) passed += $(i - 1)
      if ($i ~ /^failed;/) failed += $(i - 1)
      if ($i ~ /^ignored;/) skipped += $(i - 1) } }
  /^test .* \.\.\. ok \([0-9]+ ms\)$/ { passed++ }
  /^test .* \.\.\. FAILED \([0-9]+ ms\)$/ { failed++ }
  /^oracle: [0-9]+ cases the same, / { passed += $2 + $6; failed += $9 }
  /^[a-z]+: ok$/ { passed++ }
  # libtest counts a test that returned early as passed.
  /^skipped: / { skipped++; passed-- }
  END { print passed + 0, failed + 0, skipped + 0 }'

reasons='
  sub(/^skipped: /, "") { print }
  /^kernel tests skipped: / || /^oracle: Docker Compose is not installed/ { print }
  /^test .* \.\.\. ignored/ { print }'

seconds_as_time() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# What a person wants to see of a failed stage without opening its log.
show_failure() {
  local file=$1
  grep -E '^(error(\[|:)|test .* FAILED|---- .* stdout ----|warning: unused)' "$file" | head -n 40 || true
  echo "… the last lines of $file:"
  tail -n 60 "$file"
}

# Skips in these logs whose reason is no line of tests/skips.
new_skips() {
  local allowed
  allowed=$(grep -vE '^(#|$)' tests/skips || true)
  awk "$reasons" "$@" | sort -u | grep -vxFf <(printf '%s\n' "${allowed:-$'\x01'}") || true
}

main() {
  local entry name limit started took code verdict begun=$SECONDS
  local passed=0 failed=0 skipped=0 p f s broken=0
  local -a wanted=("$@") table=() logs=()
  case ${1:-} in
    --list) printf '%s\n' "${stages[@]%%:*}"; return ;;
    --stage) "stage_$2"; return ;;
  esac
  for name in "${wanted[@]}"; do
    [[ " ${stages[*]} " == *" $name:"* ]] || { echo "no stage \`$name\`; there are: ${stages[*]%%:*}" >&2; return 2; }
  done
  if [[ $EUID -ne 0 ]]; then
    echo "the tests run containers, which takes root: sudo env \"PATH=\$PATH\" \"HOME=\$HOME\" $self" >&2
    return 2
  fi
  mkdir -p "$log"
  running=
  trap '[[ -z $running ]] || kill "$running"; exit 130' INT TERM
  for entry in "${stages[@]}"; do
    name=${entry%%:*} limit=${entry#*:}
    [[ ${#wanted[@]} -eq 0 || " ${wanted[*]} " == *" $name "* ]] || continue
    printf '%-8s …\n' "$name"
    logs+=("$log/$name.log")
    started=$SECONDS code=0
    run_stage "$name" "$limit" || code=$?
    took=$((SECONDS - started))
    read -r p f s < <(awk "$counts" "$log/$name.log")
    case $code in
      0) verdict=ok ;;
      124 | 137) verdict="FAILED: no end after $limit s" ;;
      *) verdict="FAILED: exit code $code" ;;
    esac
    # A stage may fail without a test that does: formatting, a build, a limit.
    if [[ $code -ne 0 ]]; then
      broken=1
      [[ $f -gt 0 ]] || f=1
      show_failure "$log/$name.log"
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    table+=("$(printf '%-8s %6s %8s %7s %8s   %s' "$name" "$(seconds_as_time "$took")" "$p" "$f" "$s" "$verdict")")
    printf '%-8s %s, %s\n' "$name" "$(seconds_as_time "$took")" "$verdict"
  done
  took=$((SECONDS - begun))
  printf '\n%-8s %6s %8s %7s %8s\n' stage time passed failed skipped
  printf '%s\n' "${table[@]}"
  printf '%-8s %6s\n' all "$(seconds_as_time "$took")"
  [[ $took -le $budget ]] || echo "that is over the budget of $(seconds_as_time "$budget")"
  if [[ $skipped -gt 0 ]]; then
    printf '\nskipped because:\n'
    awk "$reasons" "${logs[@]}" | sort | uniq -c
  fi
  local new
  new=$(new_skips "${logs[@]}")
  if [[ -n $new ]]; then
    printf '\nnot in tests/skips, so this run fails:\n%s\n' "$new"
    broken=1
  fi
  printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
  return "$broken"
}
