#!/usr/bin/env bash
# @huggingface/jinja 0.5.11 (npm), seen with Node 20.20.2: templates that Jinja2 renders differently, without a message.
#
# Each case below is a valid template with what Jinja2 3.1.6 renders (in the environment of transformers 5.24.0); the
# program prints what the library renders beside it. A chat template that does such things gives the model another prompt.
#
# Needs: node, npm, network. Exit status 0: as described here. Not 0: the behaviour has changed (or npm failed).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix "$dir" @huggingface/jinja@0.5.11

cat >seen.mjs <<'JS'
import { Template } from "@huggingface/jinja";

const cases = [
  ["{{ true }} {{ none }}", "True None"],
  ["{{ [1, none, 'a'] }}", "[1, None, 'a']"],
  ["{{ 'xxaxx'.strip('x') }}", "a"],
  ["{% for x in [1, 2, 3] %}{{ x }}{% if x == 2 %}{% break %}{% endif %}{% endfor %}", "12"],
  ["{{ nothing == none }}", "False"],
  ["{{ none | default('d') }}", "None"],
  ["{{ 1.0 | tojson }}", "1.0"],
];
for (const [template, right] of cases)
  console.log(`${template}: ${JSON.stringify(new Template(template).render({}))}, want ${JSON.stringify(right)}`);
JS

node seen.mjs >seen.txt
cat seen.txt
diff - seen.txt <<'SEEN'
{{ true }} {{ none }}: "true ", want "True None"
{{ [1, none, 'a'] }}: "[1, null, \"a\"]", want "[1, None, 'a']"
{{ 'xxaxx'.strip('x') }}: "xxaxx", want "a"
{% for x in [1, 2, 3] %}{{ x }}{% if x == 2 %}{% break %}{% endif %}{% endfor %}: "1", want "12"
{{ nothing == none }}: "true", want "False"
{{ none | default('d') }}: "", want "None"
{{ 1.0 | tojson }}: "1", want "1.0"
SEEN
