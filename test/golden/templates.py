"""Writes templates.json next to this file: chat templates of our own wording, and what transformers makes of them.

Each template is rendered as `apply_chat_template` does it, for each of its conversations. Where Python raises an error,
so must we.
"""
import json
import pathlib

import jinja2
import transformers
from transformers.utils.chat_template_utils import _normalize_chat_messages, render_jinja_template

SPECIALS = {"bos_token": "<s>", "eos_token": "</s>"}

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a place & a day <soon>",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}, "days": {"type": "integer", "default": 1}},
            "required": ["place"],
        },
    },
}

CONVERSATIONS = {
    "plain": {"messages": [
        {"role": "system", "content": "Answer in verse.  "},
        {"role": "user", "content": "\n Whose <b>horse</b> is 'that'? é你😀"},
        {"role": "assistant", "content": "<think>\nA horse.\n</think>\n\nIt is \"mine\"."},
        {"role": "user", "content": "Prove it"},
    ]},
    "short": {"messages": [{"role": "user", "content": "Hello"}]},
    "tools": {
        "messages": [
            {"role": "user", "content": "Rain in Zürich?"},
            {"role": "assistant", "content": None, "reasoning": "I must look.", "tool_calls": [
                {"id": "c1", "type": "function", "function": {
                    "name": "weather", "arguments": {"place": "Zürich", "days": 3, "least": 0.25, "deep": {"a": [1, None, True]}}}},
                {"id": "c2", "type": "function", "function": {"name": "clock", "arguments": {}}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "name": "weather", "content": "{\"rain\": false}"},
            {"role": "tool", "tool_call_id": "c2", "name": "clock", "content": "12:00"},
            {"role": "assistant", "content": "No rain.", "name": None},
            {"role": "user", "content": "Thanks"},
        ],
        "tools": [WEATHER],
    },
    "parts": {"messages": [
        {"role": "system", "content": [{"type": "text", "text": "See."}]},
        {"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "image", "url": "x.png"}, {"type": "text", "text": "this?"}]},
    ]},
    "documents": {
        "messages": [{"role": "user", "content": "Summarise."}],
        "documents": [{"title": "One", "text": "First\ntext."}, {"title": "Two", "text": "Second."}],
        "variables": {"enable_thinking": False, "style": "short", "limit": 4, "factor": 1.5, "names": ["x", "y"]},
    },
}

# Whole templates, in the manner of the large families. (name, conversations, source)
WHOLE = [
    ("angle-marks", "plain short", """{{ bos_token }}{% for m in messages %}
<|{{ m['role'] }}|>
{{ m['content'] }}{{ eos_token }}
{% endfor %}
{% if add_generation_prompt %}
<|assistant|>
{% endif %}"""),
    ("windows-lines", "plain short", "{% for m in messages %}\r\n[{{ m.role }}]\r\n{{ m.content | trim }}\r\n{% endfor %}\r\n{% if add_generation_prompt %}\r\n[assistant]\r\n{% endif %}\r\n"),
    ("old-mac-lines", "short", "{% for m in messages %}\rA{{ m.role }}\r{% endfor %}\rB\r\r"),
    ("brackets", "plain short", """{%- if messages[0].role == 'system' -%}
    {%- set lead = messages[0].content.strip() ~ '\\n\\n' -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set lead = '' -%}
    {%- set turns = messages -%}
{%- endif -%}
{{- bos_token -}}
{%- for turn in turns -%}
    {%- if (turn.role == 'user') != (loop.index0 % 2 == 0) -%}
        {{- raise_exception('user and assistant must take turns') -}}
    {%- endif -%}
    {%- if turn.role == 'user' -%}
        {{- '[ASK] ' ~ (lead if loop.first else '') ~ turn.content ~ ' [/ASK]' -}}
    {%- else -%}
        {{- ' ' + turn.content.split('</think>')[-1].strip() + eos_token -}}
    {%- endif -%}
{%- endfor -%}"""),
    ("thoughts", "plain tools documents", """{%- set ns = namespace(searching=true, last=messages|length - 1) %}
{%- for m in messages[::-1] %}
    {%- set at = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and m.role == "user" and m.content is string and not (m.content.startswith('<result>') and m.content.endswith('</result>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last = at %}
    {%- endif %}
{%- endfor %}
{%- for m in messages %}
    {%- set content = m.content if m.content is string else '' %}
    {%- set thought = '' %}
    {%- if m.reasoning_content is string %}
        {%- set thought = m.reasoning_content %}
    {%- elif '</think>' in content %}
        {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<|' + m.role + '|>' }}
    {%- if m.role == 'assistant' and (loop.index0 > ns.last or (not loop.last and thought)) %}
        {{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' }}
    {%- endif %}
    {{- content + '<|end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""),
    ("calls", "plain tools", """{%- if tools %}
    {{- '# Functions\\n<tools>' }}
    {%- for tool in tools %}
        {{- '\\n' }}{{- tool | tojson }}
    {%- endfor %}
    {{- '\\n</tools>\\n' }}
{%- endif %}
{%- for m in messages %}
    {%- if m.role == 'tool' %}
        {%- if loop.first or loop.previtem.role != 'tool' %}{{- '<|user|>' }}{%- endif %}
        {{- '\\n<result>\\n' ~ m.content ~ '\\n</result>' }}
        {%- if loop.last or loop.nextitem.role != 'tool' %}{{- '<|end|>\\n' }}{%- endif %}
    {%- else %}
        {{- '<|' ~ m.role ~ '|>' }}
        {%- if m.content %}{{- m.content }}{%- endif %}
        {%- for call in m.tool_calls or [] %}
            {%- set f = call.function if call.function is defined else call %}
            {{- '\\n<call>\\n{"name": "' ~ f.name ~ '", "arguments": ' }}
            {{- f.arguments if f.arguments is string else f.arguments | tojson }}
            {{- '}\\n</call>' }}
        {%- endfor %}
        {{- '<|end|>\\n' }}
    {%- endif %}
{%- endfor %}"""),
    ("parameters", "tools", """{%- macro kind(schema) -%}
    {%- if schema.type == 'object' -%}
        { {%- for key, value in schema.properties.items() -%}
            {{- key }}{{ '' if key in schema.required else '?' }}: {{ kind(value) }}{{ ', ' if not loop.last -}}
        {%- endfor -%} }
    {%- else -%}
        {{- schema.type }}{% if schema.default is defined %} = {{ schema.default }}{% endif -%}
    {%- endif -%}
{%- endmacro -%}
{%- for tool in tools -%}
// {{ tool.function.description }}
type {{ tool.function.name }} = (_: {{ kind(tool.function.parameters) }}) => any;
{% endfor -%}"""),
    ("xml-calls", "tools", """{% for m in messages if m.tool_calls %}
{% for c in m.tool_calls %}
<function={{ c.function.name }}>
{% for k, v in c.function.arguments|items %}
<parameter={{ k }}>{{ v if v is string else v | tojson | safe }}</parameter>
{% endfor %}
</function>
{% endfor %}
{% endfor %}"""),
    ("pieces", "plain parts", """{%- macro text(content) -%}
    {%- if content is string -%}{{ content }}
    {%- elif content is iterable and content is not mapping -%}
        {%- for part in content -%}
            {%- if part.type == 'text' -%}{{ part['text'] }}
            {%- elif 'image' in part.type -%}<image {{ loop.index }}>
            {%- else -%}{{ raise_exception('what is ' ~ part.type) }}{%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- for m in messages %}{{ '<start>' ~ ('model' if m.role == 'assistant' else m.role) ~ '\\n' ~ text(m.content) | trim ~ '<stop>\\n' }}{% endfor -%}"""),
    ("library", "documents short", """{% if documents %}
{% for d in documents %}
Document {{ loop.index0 }}: {{ d.title|upper }}
{{ d.text | indent(2) }}
{% endfor %}
{% endif %}
{{ messages[-1].content }} ({{ style|default('long') }}, {{ limit }})"""),
    ("training", "plain tools", """{% for m in messages %}{{ '<' ~ m.role ~ '>' }}{% if m.role == 'assistant' %}{% generation %}{% set w = 1 %}{{ m.content }}{{ eos_token }}{% endgeneration %}{{ w is defined }}{% else %}{{ m.content }}{% endif %}{% endfor %}"""),
    ("nine-letters", "tools", """{% for m in messages %}{% for c in m.tool_calls|default([]) %}{% if c.id is not defined or c.id|length != 9 %}{{ raise_exception('ids have nine letters') }}{% endif %}{% endfor %}{% endfor %}"""),
    ("dates", "short", """{%- if not today is defined %}{%- if strftime_now is defined %}{%- set today = '1 May 2026' %}{%- endif %}{%- endif %}Today is {{ today }}. {{ strftime_now('%%') }}"""),
    ("no-tools", "short", "{{ tools is none }}{{ documents is none }}{{ tools is defined }}{% if tools is not none %}never{% endif %}{{ add_generation_prompt }}{{ unk_token is defined }}{{ bos_token }}"),
    ("counts", "plain tools", "{{ messages|selectattr('role', 'equalto', 'user')|list|length }} {{ (messages|rejectattr('role', 'in', ['user', 'tool'])|map(attribute='role')|list) }} {{ messages|groupby('role')|map('first')|join(',') }} {% for role, turns in messages|groupby('role') %}{{ role }}={{ turns|length }};{% endfor %}"),
    ("thinking-names", "tools", "{% for m in messages %}{{ m.thinking }}|{{ m.reasoning }}|{{ m.reasoning_content }}|{{ m.content is defined }}|{{ 'name' in m }}\n{% endfor %}"),
    ("whole-messages", "plain tools parts", "{% for m in messages %}{{ m }}\n{{ m|tojson }}\n{{ m|tojson(indent=2) }}\n{{ m|tojson(sort_keys=true, separators=(',', ':'), ensure_ascii=true) }}\n{% endfor %}{{ messages|length }}"),
]

# Pieces of the language, one line each: the name is the line.
PIECES = r"""
{{ true }} {{ false }} {{ none }} {{ True }} {{ None }} {{ nothing }}
{{ [1, 'a', none, true, 1.0, {'k': (1,)}] }} {{ () }} {{ (1, 'x') }} {{ {} }} {{ [] }}
{{ "it's" }} {{ ["it's", 'say "x"', 'both \' and "', 'tab\t nl\n bs\\ é \x07 \u200b'] }}
{{ 1.0 }} {{ 1e16 }} {{ 1e15 }} {{ 123456789012345680.0 }} {{ 0.0001 }} {{ 0.00001 }} {{ 1e-7 }} {{ 1.5e300 }} {{ -0.0 }} {{ 100.0 * 3 }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 6 / 2 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 100 }} {{ 2.0 ** 3 }} {{ 2 ** 3 ** 2 }}
{{ 1_000 + 0x1f + 0b11 + 0o17 }} {{ 12345678901234567890 * 10 }} {{ true + 1 }} {{ -true }} {{ +1 }} {{ - -1 }}
{{ -3|abs }} {{ -2 ** 2 }} {{ 1 + 2 * 3 - 4 }} {{ 'a' ~ 1 ~ none }} {{ (1 + 2) ~ 3 }} {{ 'a' ~ 1 * 2 }} {{ 2 * 'ab' }} {{ [0] * 3 }} {{ (1,) + (2,) }}
{{ 1 == 1.0 }} {{ 1 == true }} {{ '1' == 1 }} {{ none == false }} {{ nothing == none }} {{ nothing == nothing2 }} {{ nothing != 'x' }} {{ [1, [2]] == [1, [2]] }} {{ [1] == (1,) }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }}
{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 'a' < 'b' }} {{ 'Z' < 'a' }} {{ [1, 2] < [1, 3] }} {{ (1,) <= (1, 0) }} {{ 1.5 >= 1 }} {{ '\ud83d' is string }}
{{ 'a' in 'abc' }} {{ 'x' not in 'abc' }} {{ 1 in [1.0] }} {{ 'k' in {'k': 0} }} {{ 2 in range(3) }} {{ 'a' in nothing }} {{ nothing in [1] }} {{ none in [none] }} {{ '' in '' }}
{{ not true or true }} {{ not 1 == 2 }} {{ not 'a' in 'b' }} {{ 0 or '' or none }} {{ 1 and 'x' }} {{ nothing or 'z' }} {{ '' and 1 }} {{ (none and 1) is none }}
{{ 'a' if false }}| {{ 'a' if true else 'b' }} {{ 'a' if 0 else 'b' if 0 else 'c' }} {{ ('x' if false) is defined }} {{ 'yes' if messages and not tools }}
{{ 'abc'[0] }} {{ 'abc'[-1] }} {{ 'abcdef'[1:4] }} {{ 'abcdef'[::2] }} {{ 'abcdef'[::-1] }} {{ 'abcdef'[4:1:-1] }} {{ 'abc'[5:] }} {{ 'abc'[-99:2] }} {{ 'a😀b'[1] }} {{ 'a😀b'|length }} {{ 'a😀b'[::-1] }}
{{ [1, 2, 3][-2:] }} {{ (1, 2, 3)[1:] }} {{ range(10)[2:8:3] | list }} {{ range(5)[-1] }} {{ [1, 2][5] is defined }} {{ [1, 2][-3] }}| {{ 'abc'[9] is defined }} {{ none[1:] }} {{ {}[1:] is defined }} {{ 'abc'['a':] is defined }} {{ messages[0]['nope'] }}| {{ messages[99] }}|
{{ [[1, 2], [3]][1][0] }} {{ {'a': {'b': 'c'}}.a.b }} {{ {'a': 1}['a'] }} {{ {'items': 5}['items'] }} {{ {'x': 1}.items() | list }} {{ {1: 'int', none: 'n'}[1] }} {{ {1: 'a', true: 'b'} }} {{ [10, 20].0 }}
{{ messages[0].role }} {{ messages[0]['role'] }} {{ messages[0].get('role') }} {{ messages[0].get('x') }} {{ messages[0].get('x', 'y') }} {{ messages[0].keys() | list }} {{ messages[0].nokey is defined }} {{ messages[-1].content }} {{ (messages | first).role }} {{ (messages | last)['role'] }}
{{ ' a '.strip() }}| {{ 'xxaxx'.strip('x') }} {{ 'abcba'.lstrip('ab') }} {{ 'abcba'.rstrip('ab') }} {{ '\n\n a \n'.lstrip('\n') }}| {{ 'a\u00a0\u2003'.strip() }}| {{ '\ufeffa'.strip() | length }} {{ 'x'.strip('') }}
{{ 'a:b:c'.split(':') }} {{ 'a:b:c'.split(':', 1) }} {{ ' a  b '.split() }} {{ ' a  b c '.split(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b  c '.rsplit(none, 1) }} {{ 'a, b'.split(sep=', ') }} {{ 'abc'.split('abc') }}
{{ 'aaa'.replace('a', 'b') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'ab'.replace('', '-') }} {{ 'ab'.replace('', '-', 1) }} {{ 'aXbX' | replace('X', 1) }} {{ 'aaa' | replace('a', 'b', 1) }} {{ 'a.b'.replace('.', '$&') }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.startswith(('x', 'a')) }} {{ 'abc'.endswith(('c', 'd')) }} {{ 'abc'.endswith('') }} {{ 'abc'.startswith('b', 1) }} {{ 'abcd'.endswith('c', 0, 3) }}
{{ 'abc'.find('c') }} {{ 'abc'.find('z') }} {{ 'abab'.rfind('a') }} {{ 'abab'.count('ab') }} {{ 'abc'.index('b') }} {{ '😀a'.find('a') }} {{ 'aXbX'.count('X') }} {{ 'aaa'.count('') }} {{ 'hello'.find('l', 3) }}
{{ 'hello world'.title() }} {{ "it's o'clock".title() }} {{ "it's o'clock now-then" | title }} {{ 'hELLO wORLD'.capitalize() }} {{ 'hELLO' | capitalize }} {{ 'aBc'.swapcase() }} {{ 'ß'.upper() }} {{ 'ÀÉ'.lower() }} {{ 'x'.casefold() }}
{{ ', '.join(['a', 'b']) }} {{ '-'.join('abc') }} {{ ''.join([]) }} {{ ','.join({'a': 1, 'b': 2}) }} {{ [1, none, 'x', 2.0] | join('|') }} {{ messages | join(',', attribute='role') }}
{{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('bc') }} {{ 'abc'.removesuffix('') }} {{ 'k=v=w'.partition('=') }} {{ 'k=v=w'.rpartition('=') }} {{ 'abc'.partition('z') }} {{ 'abc'.rpartition('z') }}
{{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a\nb\n'.splitlines(true) }} {{ ''.splitlines() }} {{ 'a\x0cb\x85c\u2028d'.splitlines() }} {{ 'ab'.ljust(4) }}| {{ 'ab'.rjust(4, '.') }} {{ 'ab'.center(5) }}| {{ 'abc'.center(6, '*') }} {{ '-7'.zfill(4) }} {{ 'ab' | center(7) }}|
{{ '12'.isdigit() }} {{ '1a'.isalnum() }} {{ 'ab'.isalpha() }} {{ ''.isalpha() }} {{ ' '.isspace() }} {{ 'AB'.isupper() }} {{ 'a1'.islower() }} {{ '1'.islower() }} {{ 'Ab Cd'.istitle() }} {{ 'a_1'.isidentifier() }} {{ 'é'.isascii() }} {{ '½'.isnumeric() }} {{ '½'.isdecimal() }}
{{ '%s and %d' % ('a', 3) }} {{ '%5.2f|%-5s|%05d|%x|%%' % (3.14159, 'ab', 42, 255) }} {{ '%s' % none }} {{ '%s' % [1] }} {{ '%r' % 'q' }} {{ '%(a)s' % {'a': 1} }} {{ '%+d % d' % (5, 5) }} {{ '%s %s' | format('a', 1) }} {{ '%(x)s' | format(x=2) }} {{ '%e' % 12345.678 }} {{ '%.1f' % 0.25 }}
{{ '{} {}'.format('a', 1) }} {{ '{1}{0}'.format('a', 'b') }} {{ '{name}!'.format(name='n') }} {{ '{{}}{:>5}|{:<4}|{:^5}|{:*^5}'.format('a', 'b', 'c', 'd') }} {{ '{:.2f} {:05d} {:,} {:x} {:+d} {:%}'.format(3.14159, 42, 1234567, 255, 5, 0.25) }} {{ '{!r}'.format('x') }} {{ '{0[k]}'.format({'k': 'v'}) }} {{ '{:5}|{:5}|'.format('a', 1) }}
{{ {'a': 1, 'é': [1.0, none, true, 'x"\\\n\t/</é\x01']} | tojson }} {{ 1.0 | tojson }} {{ 1e20 | tojson }} {{ '<&>\'' | tojson }} {{ (1, 2) | tojson }} {{ {1: 2, none: 3, true: 4} | tojson }} {{ [] | tojson(indent=2) }} {{ {} | tojson(indent=2) }} {{ 'é' | tojson(ensure_ascii=true) }} {{ '😀' | tojson(true) }} {{ range(2) | list | tojson }}
{{ [1, {'a': [], 'b': {}}] | tojson(indent=1) }} {{ {'b': 1, 'a': [1, 2]} | tojson(indent='--', sort_keys=true) }} {{ [1, 2] | tojson(separators=(' ; ', ' = ')) }} {{ {'a': 1} | tojson(indent=0) }}
{{ nothing | default('d') }} {{ none | default('d') }} {{ none | default('d', true) }} {{ '' | default('e') }}| {{ '' | default('e', true) }} {{ 0 | d(5, boolean=true) }} {{ nothing | default }}| {{ messages[0].x | default('k') }} {{ nothing.x if nothing is defined else 'u' }} {{ 'v' | default(nothing.boom if false else 'w') }}
{{ nothing | upper }}| {{ nothing | trim }}| {{ nothing | length }} {{ nothing | list }} {{ nothing | join(',') }}| {{ nothing | first }}| {{ nothing | string }}| {{ nothing ~ 'x' }} {% for x in nothing %}never{% else %}none{% endfor %} {{ nothing is iterable }} {{ nothing is sequence }} {{ nothing is callable }} {{ [nothing] }}
{{ none is none }} {{ nothing is none }} {{ none is defined }} {{ 1 is number }} {{ true is number }} {{ true is integer }} {{ 1.0 is float }} {{ 1 is float }} {{ true is boolean }} {{ 'a' is string }} {{ {} is mapping }} {{ [] is mapping }} {{ 'a' is iterable }} {{ 1 is iterable }} {{ 'a' is sequence }} {{ {} is sequence }} {{ {}.items() is sequence }} {{ range is callable }} {{ 'a' is callable }}
{{ 3 is odd }} {{ 4 is even }} {{ 6 is divisibleby 3 }} {{ 6 is divisibleby(4) }} {{ 1 is eq 1 }} {{ 1 is equalto(2) }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 1 is ge 2 }} {{ 2 is greaterthan 1 }} {{ 'a' is in ['a'] }} {{ 'ab' is lower }} {{ 'AB' is upper }} {{ 'a' is not in 'b' }} {{ none is sameas none }} {{ true is true }} {{ 1 is true }} {{ not 1 is none }} {{ 5 is not odd and true }}
{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A', 'c'] | sort(case_sensitive=true) }} {{ [1, 2] | sort(reverse=true) }} {{ messages | sort(attribute='role') | map(attribute='role') | join(' ') }} {{ [3, 1] | min }} {{ ['b', 'A'] | max }} {{ [] | max }}| {{ [1, 2.5] | sum }} {{ [{'n': 1}, {'n': 2}] | sum('n') }} {{ [1, 1.0, 'a', 'A', 'b'] | unique | list }}
{{ [1, 2, 3, 4, 5] | batch(2) | list }} {{ [1, 2, 3] | batch(2, 0) | list }} {{ [1, 2, 3, 4, 5] | slice(3) | list }} {{ [1, 2, 3, 4] | slice(3, 'x') | list }} {{ [1, 2] | reverse | list }} {{ 'abc' | reverse }} {{ 'abc' | list }} {{ 'abc' | first }} {{ 'abc' | last }} {{ {'a': 1} | list }} {{ {'a': 1} | length }} {{ {'a': 1} | first }}
{{ [0, 1, none, 'x', ''] | select | list }} {{ [0, 1, 2] | reject | list }} {{ [1, 2, 3] | select('odd') | list }} {{ [1, 2, 3] | reject('gt', 2) | list }} {{ [1, none] | select('none') | list }} {{ ['a', 'B'] | map('upper') | list }} {{ ['a b', 'c'] | map('replace', ' ', '_') | list }} {{ [[1, 2], [3]] | map('length') | list }} {{ [{'a': {'b': 1}}, {}] | map(attribute='a.b', default='?') | list if false else '' }} {{ messages | map(attribute='nope', default='-') | join }} {{ [[1, 2], [3, 4]] | map(attribute=1) | list }} {{ [{'a': [5]}] | map(attribute='a.0') | list }} {{ ['1', '2'] | map('int') | sum }}
{{ {'b': 2, 'a': 1} | dictsort }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }} {{ {'b': 1, 'A': 2} | dictsort(true) }} {{ {'b': 1, 'a': 2} | dictsort(reverse=true) }} {{ {'x': 1} | items | list }} {{ {'x': 1}.values() | list }} {{ {'x': 1}.items() }} {{ {'x': 1}.keys() }} {% for k, v in {'x': 1, 'y': 2}.items() %}{{ k }}{{ v }}{% endfor %} {{ ({'x': 1}.items() | list)[0][1] }}
{{ '3' | int }} {{ '3.9' | int }} {{ 'x' | int }} {{ 'x' | int(7) }} {{ 'ff' | int(0, 16) }} {{ '0x1f' | int(base=16) }} {{ 3.9 | int }} {{ -3.9 | int }} {{ none | int }} {{ ' 12 ' | int }} {{ '1_0' | int }} {{ true | int }} {{ '2.5' | float }} {{ 'x' | float }} {{ 3 | float }} {{ 'x' | float(1) }} {{ '1e3' | float }} {{ 'inf' | float }} {{ '.5' | float }} {{ '5.' | float }}
{{ 2.5 | round }} {{ 3.5 | round }} {{ 3.14159 | round(2) }} {{ 2.675 | round(2) }} {{ 0.125 | round(2) }} {{ 7 | round }} {{ 2.1 | round(0, 'ceil') }} {{ 2.19 | round(1, 'floor') }} {{ -2.5 | round }} {{ 1.005 | round(2) }} {{ 1234.5678 | round(1) | string }} {{ 5.5 | round | int }}
{{ 'a\nb\n\nc' | indent }}| {{ 'a\nb' | indent(2, true) }}| {{ 'a\n\nb' | indent(2, blank=true) }}| {{ 'a\nb' | indent('> ') }} {{ 'a\nb\n' | indent(1) }}| {{ '' | indent }}| {{ 'a\r\nb' | indent(width=1, first=true) }}
{{ 'a b c d e f' | truncate(6, leeway=0) }} {{ 'abcdef ghijk' | truncate(8, true, leeway=0) }} {{ 'abc def' | truncate(5) }} {{ 'a b c d e f g h' | truncate(9, end='!', leeway=0) }} {{ 'a b, c-d' | wordcount }} {{ 'a b&c/d?é' | urlencode }} {{ ' x ' | trim }}| {{ 'xax' | trim('x') }} {{ 12 | string ~ 'a' }} {{ 5 | string | length }} {{ none | string }} {{ [1] | string }} {{ 'abc' | count }}
{{ '<a href="x">\'&</a>' | e }} {{ '<b>' | safe }} {{ ('<b>' | safe) ~ '<i>' }} {{ ['<b>' | e, 1] | join }} {{ 1 | escape }} {{ '<b>' | e | e }} {{ ('x' | safe) is string }} {{ ('x' | e) is escaped }}
{{ range(3) }} {{ range(1, 4) | list }} {{ range(6, 0, -2) | list }} {{ range(0) | list }} {{ range(3) | length }} {{ range(3) | sum }} {{ range(2) == range(0, 2) }} {{ dict(a=1, b='x') }} {{ dict({'a': 1}, b=2) }} {{ dict([['k', 'v']]) }} {{ dict.fromkeys(['a'], 0) }} {{ namespace(a=1) }} {{ namespace({'q': 2}).q }} {{ namespace().z is defined }}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set j = joiner('; ') %}{% for x in [1, 2, 3] %}{{ j() }}{{ x }}{% endfor %}
{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}{% set a, b = 1, [2] %}{{ a }}{{ b }}{% set (p, q) = 'xy' %}{{ p }}{{ q }}{% set t = 1, %}{{ t }}
{% set ns = namespace(n=0, found=false) %}{% for m in messages if not ns.found %}{% set ns.n = ns.n + 1 %}{% if m.role == 'user' %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.n }}{{ ns.found }}
{% set t %}a{{ 1 }} {% for x in 'bc' %}{{ x }}{% endfor %}{% endset %}{{ t }}{{ t|length }}{% set u | upper | replace('A', 'z') %}abc{% endset %}{{ u }}{% filter upper %}x{{ 'y' }}{% endfilter %}{% filter replace('a', 'b') | trim %} aa {% endfilter %}|
{% with a = 1, b = 'x' %}{{ a }}{{ b }}{% set a = 2 %}{{ a }}{% endwith %}{{ a is defined }}{% with %}{% set z = 1 %}{% endwith %}{{ z is defined }}
{% macro f(a, b='B', c=none) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ f(1) }}{{ f(1, c=3) }}{{ f(b=2, a=1) }}{{ f() }}{{ f(*[1, 2]) }}{{ f(**{'a': 5}) }}{% macro g() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ g(1, 2, k=3) }}{% set r = f(1) %}{{ r|length }}
{% macro box(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call box('p') %}in {{ messages|length }}{% endcall %}{% macro each(xs) %}{% for x in xs %}{{ caller(x, loop.index) }};{% endfor %}{% endmacro %}{% call(x, i) each(['a', 'b']) %}{{ i }}{{ x }}{% endcall %}
{% set v = 1 %}{% macro late() %}{{ v }}{{ w is defined }}{% endmacro %}{{ late() }}{% set v = 2 %}{% set w = 3 %}{{ late() }}{% macro inner() %}{% set v = 7 %}{{ v }}{% endmacro %}{{ inner() }}{{ v }}{% macro fact(n) %}{{ 1 if n < 2 else n * (fact(n - 1) | int) }}{% endmacro %}{{ fact(5) }}
{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ (loop.previtem or {}).role }}{{ (loop.nextitem or {}).role }}{{ loop.cycle('o', 'e') }}{{ loop.changed(m.role) }} {% endfor %}
{% for x in [1, 2, 3, 4, 5] %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% if x == 4 %}!{% break %}{% endif %},{% endfor %}.{% for x in [1, 2] %}{% for y in [1, 2, 3] %}{% if y == 2 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}{% for x in [] %}{% else %}empty{% endfor %}
{% for x in [1, 2, 3] if x is odd %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% else %}no{% endfor %}{% for x in [2] if x is odd %}{{ x }}{% else %}no{% endfor %}{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for k in {'x': 1} %}{{ k }}{% endfor %}{% for c in 'é😀' %}{{ c }}.{% endfor %}{% for x in [1, 2] | reverse %}{{ x }}{% endfor %}
{% for n in [{'v': 1, 'c': [{'v': 2, 'c': [{'v': 3}]}]}, {'v': 4}] recursive %}{{ n.v }}@{{ loop.depth }}{% if n.c %}({{ loop(n.c) }}){% endif %} {% endfor %}
{% set g = messages | selectattr('role', 'eq', 'nobody') %}{{ 'true' if g else 'false' }}{{ g | list }}{% set h = [1, 2] | map('string') %}{{ h | join }}{{ h | join }}{{ (messages | map(attribute='role'))[0] is defined }}{{ ([3, 4] | map('string')) | first }}
{% if nothing %}a{% elif messages | length > 99 %}b{% elif 'x' %}c{% else %}d{% endif %}{% if not nothing is defined %}e{% endif %}{% if messages[0]['role'] == 'system' and messages[0].content %}f{% endif %}{% if 1, %}g{% endif %}
a {#- c -#} b {# d #} c {#+ e +#} d{% raw %}{{ x }}{% y %}{% endraw %}{%- raw -%} z {%- endraw -%} e {{- ' f ' -}} g {{ '}}' }}{{ "%}" }}{{ {'a': {'b': 1}} }}{{ 'a' 'b' "c" }}
{{ 'a\tb\\n\'\"\x41\u00e9\101\q' }}{{ "multi
line" }}{{ '' }}{{ 1 if true }}{{ {'a':1,}['a'] }}{{ [1,2,] }}{{ messages.0.role }}
{{ {'a': 1} | length }}{{ {'b': 1}.b }}{{ {'copy': 1}.copy is callable }}{{ 'x'.upper is callable }}{{ {'x': 1}.update is defined }}{{ [1].append }}|{{ [1, 2, 1].count(1) }}{{ [1, 2].index(2) }}{{ {'x': 1}.copy() }}{{ 'a'.nope is defined }}{{ none.x is defined }}{{ (1).x }}|
{{ messages is string }}{{ messages[0].content is string }}{{ messages[0] is mapping }}{{ messages is iterable and messages is not mapping }}{{ messages[0]['content'] | trim | length }}{{ messages[1].content | upper }}{{ messages[1].content.split('<b>')[1].split('</b>')[0] }}
{{ '\u00e9'.upper() }}{{ 'İ' | lower | length }}{{ 'ŉ'.upper() }}{{ 'ab cd' | title }}{{ 'ǆ' | upper }}{{ ['é', 'É'] | unique | list }}{{ ['b', 'á', 'a'] | sort }}
""".strip("\n").replace("\n{{ {'a': 1} | length", "\x00{{ {'a': 1} | length")

# Lines that are one piece although they hold a line break.
LAYOUT = [
    "  {% if true %}  \n  x\n  {% endif %}\n y",
    "a\n    {%- if true %}\n  b\n{%- endif -%}\n  c",
    "{% for x in [1, 2] %}\n  {{ x }}\n{% endfor %}\nend\n",
    "{% for x in [1, 2] -%}\n  {{ x }}\n{%- endfor %}\n\nend\n\n",
    "  {%+ if true %} a{% endif +%}\n b {{- 1 -}}  \n c\n{# gone #}\nd {#- near -#} e\n  {# own line #}\nf",
    "\t{% set x = 1 %}\n\t{{ x }}\t\n{% set y = 2 -%}\n\n {{ y }}",
    "{%- set a = 1 -%}   \n\n{{+ a }}" ,
    "x{% if true %}\n\ny{% endif %}\n\nz",
    "{% raw %}\n {{ a }} {% endraw %}\n  b\n   {% raw -%}  c  {%- endraw %}\nd",
    "{{ 'a' }}\n{{ 'b' }}\n\n{% if true %}{% endif %}\n{{ 'c' }} {% if true %}\nd{% endif %}  \n",
    "é {%- if true %} 你\u00a0{%- endif %}\u3000 {{- 'x' }}\u2003{%- if true %}y{% endif %}",
    "{% if true %}{# a #}\n{# b #}\n{% endif %}\nq",
]

# Python raises an error, so must we.
ERRORS = r"""
{{ nothing.x }}
{{ nothing['x'] }}
{{ nothing() }}
{{ nothing + 'x' }}
{{ 'a' + nothing }}
{{ nothing > 1 }}
{{ messages[0].x.y }}
{{ -nothing }}
{{ nothing | int }}
{{ nothing | tojson }}
{{ none | length }}
{{ none + 'x' }}
{{ 'a' + 1 }}
{{ 1 + 'a' }}
{{ [1] + (2,) }}
{{ none < 1 }}
{{ 'a' < 1 }}
{{ [1, 'a'] | sort }}
{{ 1 in 'a' }}
{{ 1 in 2 }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{% for x in none %}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for a, b in [1] %}{% endfor %}
{% for a, b in [[1, 2, 3]] %}{% endfor %}
{% set x = [] %}{{ x.append(1) }}
{{ {}.update({'a': 1}) }}
{% set x = {} %}{% set x.y = 1 %}
{% set ns = namespace() %}{% set ns._x = 1 %}
{{ {} | fromjson }}
{{ 'x' | nosuchfilter }}
{{ 'x' is nosuchtest }}
{{ nosuchfunction() }}
{{ 'x'.nosuchmethod() }}
{{ range(1000000) | length }}
{{ range(1, 2, 0) }}
{{ 'a'.split('') }}
{{ 'abc'.index('z') }}
{{ [1].index(2) }}
{{ ','.join([1]) }}
{{ '%d' % 'a' }}
{{ '%s %s' % 'a' }}
{{ '%s' % ('a', 'b') }}
{{ '{} {}'.format('a') }}
{{ 1 is defined if true }}
{{ loop.previtem }}
{{ nothing[1:] }}
{{ 'abc'[::0] }}
{{ ([1] | map('string')) | length }}
{{ ([1] | map('string')) | last }}
{% do 1 %}
{% break %}
{% if %}{% endif %}
{% if true %}
{% endif %}
{% for x in %}{% endfor %}
{{ 1 + }}
{{ (1 }}
{{ 'a }}
{{ a b }}
{{ }}
{% set 1 = 2 %}
{% unknown %}
{# open
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=2) }}
{% macro f(a) %}{{ a }}{% endmacro %}{% call f(1) %}x{% endcall %}
{{ raise_exception('stop') }}
{{ {[1]: 2} }}
{{ 'x' | truncate(1) }}
{{ 'a' | default('x', 1, 2, 3) }}
{{ 'a'.strip(1) }}
{{ 'x' * 'y' }}
{{ 2 * none }}
{{ 5() }}
{{ {'a': nothing} | tojson }}
{{ messages | map('nosuch') | list }}
{{ messages | selectattr('role', 'nosuch') | list }}
{{ messages | map(attribute='a.b') | list }}
{{ loop }}{{ loop.index }}
{{ [1, 2] | join(',', attribute='x.y') }}
{{ dict(1) }}
""".strip("\n").split("\n")


def render(template, case):
    try:
        texts, _ = render_jinja_template(
            conversations=[_normalize_chat_messages(case["messages"])],
            tools=case.get("tools"),
            documents=case.get("documents"),
            chat_template=template,
            add_generation_prompt=True,
            **{**SPECIALS, **case.get("variables", {})},
        )
        return {"text": texts[0]}
    except Exception as error:  # of whatever kind: the template fails
        return {"error": f"{type(error).__name__}: {error}"[:120]}


def main():
    pieces = [line for part in PIECES.replace('"multi\nline"', '"multi\x01line"').split("\x00") for line in part.split("\n")]
    pieces = [line.replace("\x01", "\n") for line in pieces]
    listed = [(name, template, names.split()) for name, names, template in WHOLE]
    listed += [(f"piece {n}", template, ["plain"]) for n, template in enumerate(pieces, 1)]
    listed += [(f"layout {n}", template, ["short"]) for n, template in enumerate(LAYOUT, 1)]
    listed += [(f"error {n}", template, ["plain"]) for n, template in enumerate(ERRORS, 1)]
    cases = [
        {"name": name, "template": template, "conversation": conversation, "expect": render(template, CONVERSATIONS[conversation])}
        for name, template, conversations in listed
        for conversation in conversations
    ]
    for case in cases:
        wants = "error" if case["name"].startswith(("error", "nine")) else "text"
        if wants not in case["expect"] and case["name"] != "brackets":
            print(case["name"], case["template"], case["expect"])
    made = {"transformers": transformers.__version__, "jinja2": jinja2.__version__}
    text = {"made": made, "specials": SPECIALS, "conversations": CONVERSATIONS, "cases": cases}
    path = pathlib.Path(__file__).with_name("templates.json")
    path.write_text(json.dumps(text, ensure_ascii=True, indent=1) + "\n")
    print(len(listed), "templates,", len(cases), "cases")


main()
