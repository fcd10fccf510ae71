package main

import (
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish: source <(broker completion bash), broker completion fish | source."`
}

func (c *completionCommand) Run(t *terminal) error {
	parser, err := newParser(new(cli))
	if err != nil {
		return err
	}
	all := completions(parser.Model.Node)
	switch c.Shell {
	case "zsh":
		return writeZsh(t.out, all)
	case "fish":
		return writeFish(t.out, all)
	}
	return writeBash(t.out, all)
}

// completed is what can follow some words of a command line.
type completed struct {
	path  string // words of commands so far, with a blank before each: "", " drain"
	words []word
}

// word is one of them.
type word struct {
	text, about string
	flag        bool
}

// completions lists, for each command of the model, the commands and flags that can follow.
func completions(root *kong.Node) []completed {
	var all []completed
	var visit func(n *kong.Node, path string)
	visit = func(n *kong.Node, path string) {
		here := completed{path: path}
		for _, child := range n.Children {
			if !child.Hidden && child.Type == kong.CommandNode {
				here.words = append(here.words, word{text: child.Name, about: child.Help})
			}
		}
		for _, group := range n.AllFlags(true) {
			for _, f := range group {
				here.words = append(here.words, word{"--" + f.Name, f.Help, true})
			}
		}
		for _, p := range n.Positional {
			for _, value := range p.EnumSlice() {
				if value != "" {
					here.words = append(here.words, word{text: value, about: p.Help})
				}
			}
		}
		here.words = append(here.words, toolWords(path)...)
		all = append(all, here)
		for _, child := range n.Children {
			if child.Type == kong.CommandNode {
				visit(child, path+" "+child.Name)
			}
		}
	}
	visit(root, "")
	sort.SliceStable(all, func(i, j int) bool { return all[i].path < all[j].path })
	return all
}

// toolWords are the commands of the tools whose command lines are handed through.
func toolWords(path string) []word {
	var verbs []verb
	switch path {
	case " cmctl":
		verbs = new(cmctl).verbs()
	case " lsnrctl":
		verbs = new(lsnrctl).verbs()
	}
	words := make([]word, len(verbs))
	for i, v := range verbs {
		words[i] = word{text: v.name, about: v.about}
	}
	return words
}

// commandWords are the words of all commands, by which a shell finds out where on the command line it is.
func commandWords(all []completed) []string {
	var paths []string
	for _, one := range all {
		paths = append(paths, "'"+one.path+"'")
	}
	return paths
}

func texts(words []word) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = w.text
	}
	return strings.Join(list, " ")
}

func writeBash(w io.Writer, all []completed) error {
	var b strings.Builder
	b.WriteString(`# Completion of broker for bash: source <(broker completion bash)
_broker() {
  local path='' next word i words
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    next="$path $word"
    case "$next" in
`)
	fmt.Fprintf(&b, "      %s) path=$next ;;\n    esac\n  done\n  case \"$path\" in\n", strings.Join(commandWords(all)[1:], "|"))
	for _, one := range all {
		fmt.Fprintf(&b, "    '%s') words='%s' ;;\n", one.path, texts(one.words))
	}
	b.WriteString("  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _broker broker\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func writeZsh(w io.Writer, all []completed) error {
	var b strings.Builder
	b.WriteString(`#compdef broker
# Completion of broker for zsh: source <(broker completion zsh), or as _broker in a folder of $fpath
_broker() {
  local path_='' next i
  local -a known
  for ((i = 2; i < CURRENT; i++)); do
    next="$path_ $words[i]"
    case "$next" in
`)
	fmt.Fprintf(&b, "      %s) path_=$next ;;\n    esac\n  done\n  case \"$path_\" in\n", strings.Join(commandWords(all)[1:], "|"))
	for _, one := range all {
		fmt.Fprintf(&b, "    '%s') known=(", one.path)
		for _, k := range one.words {
			fmt.Fprintf(&b, "'%s:%s' ", k.text, zshText(k.about))
		}
		b.WriteString(") ;;\n")
	}
	b.WriteString("  esac\n  _describe -o broker known || _files\n}\n(( $+functions[compdef] )) && compdef _broker broker\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// zshText makes a text fit for what is described between quotes.
func zshText(text string) string {
	return strings.NewReplacer("'", "’", ":", "\\:", "\n", " ").Replace(text)
}

func writeFish(w io.Writer, all []completed) error {
	var b strings.Builder
	b.WriteString(`# Completion of broker for fish: broker completion fish | source
function __broker_at
  set -l path ''
  for word in (commandline -opc)[2..-1]
    switch "$path $word"
`)
	fmt.Fprintf(&b, "      case %s\n        set path \"$path $word\"\n    end\n  end\n  test \"$path\" = \"$argv[1]\"\nend\ncomplete -c broker -f\n", strings.Join(commandWords(all)[1:], " "))
	for _, one := range all {
		for _, k := range one.words {
			what := "-a " + k.text
			if k.flag {
				what = "-l " + strings.TrimPrefix(k.text, "--")
			}
			fmt.Fprintf(&b, "complete -c broker -n \"__broker_at '%s'\" %s -d '%s'\n", one.path, what, strings.NewReplacer("\\", "", "'", "’", "\n", " ").Replace(k.about))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
