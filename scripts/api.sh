#!/usr/bin/env bash
# Compares what the packages export with the last tagged version. A change that
# breaks users needs a section "### Incompatible" under Unreleased in CHANGELOG.md.
. "$(dirname "$0")/lib.sh"
tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null) || {
	echo "nothing has a tag yet, so there is no API to compare with"
	exit 0
}
install_tool "$APIDIFF"
public='{{if and (ne .Name "main") (not .ForTest)}}{{.ImportPath}}{{end}}'
packages() { go list -f "$public" work | grep -vE '/(internal|examples)(/|$)'; }
mkdir "$scratch/tagged" "$scratch/api"
git archive "$tag" | tar -x -C "$scratch/tagged"
cd "$scratch/tagged"
for package in $(packages); do "$scratch/apidiff" -w "$scratch/api/${package//\//,}" "$package"; done
cd "$root"
packages >"$scratch/now"
for file in "$scratch"/api/*; do
	package=$(basename "$file" | tr , /)
	if grep -qxF "$package" "$scratch/now"; then
		"$scratch/apidiff" -incompatible "$file" "$package" | sed "s|^|$package: |"
	else
		echo "$package: removed"
	fi
done >"$scratch/incompatible"
if [ ! -s "$scratch/incompatible" ]; then
	echo "nothing that $tag exports has changed incompatibly"
elif awk '/^## / { there = /Unreleased/ } there' CHANGELOG.md | grep -q '^### Incompatible$'; then
	echo "incompatible with $tag, as CHANGELOG.md says:"
	cat "$scratch/incompatible"
else
	fail "incompatible with $tag; CHANGELOG.md needs a section \"### Incompatible\" under Unreleased:"$'\n'"$(cat "$scratch/incompatible")"
fi
