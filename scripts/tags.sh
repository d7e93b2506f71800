#!/usr/bin/env bash
# Checks that the modules agree with one another, and prints the tags of a version:
# scripts/tags.sh v0.1.0. Each module that others may import has a tag of its own,
# all of one version. Without a version it only checks.
. "$(dirname "$0")/lib.sh"
version=${1:-}
[ -z "$version" ] || [[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9a-z.]+)?$ ]] || fail "$version is no version: v0.1.0"
ours=$(awk '$1 == "module" { print $2 }' go.mod)

# ours_in PRINTS the lines of a go.mod about modules of this tree: "require PATH
# VERSION" and "replace PATH FOLDER".
ours_in() {
	awk -v ours="$ours" '
		$1 == "require" || $1 == "replace" { block = $1; $1 = ""; $0 = $0 }
		$1 == ")" { block = "" }
		$1 == ours || index($1, ours "/") == 1 { print block, $1, block == "replace" ? $3 : $2 }' "$1"
}

# released_command reports whether $dir is a command of a version that is made now.
released_command() { [ -n "$version" ] && [[ /$dir/ == */cmd/* ]]; }

wrong() { printf '%s\n' "$*" >>"$scratch/wrong"; }

: >"$scratch/wrong"
: >"$scratch/requires"
tags=()
for file in $(git ls-files 'go.mod' '*/go.mod'); do
	dir=$(dirname "$file")
	path=$ours${dir:+/$dir}
	path=${path%/.}
	[ "$(awk '$1 == "module" { print $2 }' "$file")" = "$path" ] || wrong "$file: its module is not $path"
	[ "$dir" = . ] || grep -qxF "	./$dir" go.work || wrong "go.work does not use ./$dir"
	ours_in "$file" >"$scratch/lines"
	while read -r what other value; do
		case $what in
		require)
			released_command || grep -q "^replace $other " "$scratch/lines" || wrong "$file: $other is required and not replaced by its folder"
			echo "$value $file $other" >>"$scratch/requires"
			;;
		replace)
			grep -q "^require $other " "$scratch/lines" || wrong "$file: $other is replaced and not required"
			folder=$(cd "$dir" && cd "$value" 2>/dev/null && pwd) || folder=
			[ "$folder" = "$root${other#"$ours"}" ] || wrong "$file: $other is not in $value"
			! released_command || wrong "$file: go install refuses a replace: go mod edit -dropreplace=$other $file"
			;;
		esac
	done <"$scratch/lines"
	case /$dir/ in
	*/internal/* | /examples/ | /monitor/alerts/) ;; # nobody imports these
	/./) tags+=("") ;;
	*) tags+=("$dir/") ;;
	esac
done

want=${version:-$(cut -d' ' -f1 "$scratch/requires" | head -n 1)}
while read -r value file other; do
	[ "$value" = "$want" ] || wrong "$file requires $value of $other: go mod edit -require=$other@$want $file"
done <"$scratch/requires"
[ ! -s "$scratch/wrong" ] || fail "the modules do not agree:"$'\n'"$(cat "$scratch/wrong")"
if [ -n "$version" ]; then
	printf "%s$version\n" "${tags[@]}"
else
	echo "${#tags[@]} modules to be tagged agree; they require $want of one another"
fi
