#!/usr/bin/env bash
# Compares what the packages export with the last tagged version. A change that
# breaks users needs a section "### Incompatible" under Unreleased in CHANGELOG.md.
. "$(dirname "$0")/lib.sh"
tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null) || {
	echo "nothing has a tag yet, so there is no API to compare with"
	exit 0
}
install_tool "$APIDIFF"
apidiff() { "$scratch/apidiff" -m "$@" 2> >(grep -v '^Ignoring internal package' >&2); }
ours=$(awk '$1 == "module" { print $2 }' go.mod)
mkdir "$scratch/tagged"
git archive "$tag" | tar -x -C "$scratch/tagged"
# In a workspace, all packages whose path begins so are those of all modules: one
# run for each of the two trees, of which only our own packages have to be compiled.
(cd "$scratch/tagged" && apidiff -w "$scratch/api" "$ours")
apidiff -incompatible "$scratch/api" "$ours" >"$scratch/incompatible"
if [ ! -s "$scratch/incompatible" ]; then
	echo "nothing that $tag exports has changed incompatibly"
elif awk '/^## / { there = /Unreleased/ } there' CHANGELOG.md | grep -q '^### Incompatible$'; then
	echo "incompatible with $tag, as CHANGELOG.md says:"
	cat "$scratch/incompatible"
else
	fail "incompatible with $tag; CHANGELOG.md needs a section \"### Incompatible\" under Unreleased:"$'\n'"$(cat "$scratch/incompatible")"
fi
