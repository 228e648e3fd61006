#!/usr/bin/env bash
# tokenizers 0.23.3 (PyPI), seen with Python 3.11: an added token that is looked for in normalised text (normalized=True)
# is given back in its normalised spelling, by id_to_token and decode. 0.22.1 gives the text it was added with.
#
# With a normalizer that prepends a mark, as Llama's, such a token decodes with a space before it; with one that
# lowercases, "Stone" decodes as "stone".
#
# Needs: python3 with venv and pip, network. Exit status 0: as described here. Not 0: changed (or pip failed).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/seen.py" <<'PY'
from tokenizers import AddedToken, Tokenizer, models, normalizers

tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
tokenizer.normalizer = normalizers.Lowercase()
tokenizer.add_tokens([AddedToken("Stone", normalized=True)])
print(tokenizer.id_to_token(1), tokenizer.decode([1]), tokenizer.get_added_tokens_decoder()[1].content)
PY
for version in 0.22.1 0.23.3; do
  python3 -m venv "$dir/$version"
  "$dir/$version/bin/pip" install --quiet --disable-pip-version-check "tokenizers==$version"
  echo "$version: $("$dir/$version/bin/python" "$dir/seen.py")"
done >"$dir/seen.txt"
cat "$dir/seen.txt"
diff - "$dir/seen.txt" <<'SEEN'
0.22.1: Stone Stone Stone
0.23.3: stone stone Stone
SEEN
