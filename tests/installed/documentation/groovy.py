"""Reads Groovy from stdin and says where it is none."""

import sys

import tree_sitter
import tree_sitter_groovy

groovy = tree_sitter.Language(tree_sitter_groovy.language())
root = tree_sitter.Parser(groovy).parse(sys.stdin.buffer.read()).root_node


def wrong(node):
    """The first place that does not fit."""
    if node.is_error or node.is_missing:
        return node
    return next(filter(None, map(wrong, node.children)), None)


if root.has_error:
    found = wrong(root) or root
    sys.exit(f"line {found.start_point.row + 1}: {found.text.decode()[:60]!r} is no Groovy")
