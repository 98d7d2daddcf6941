// Walks its input folder, makes and renames files, and uses clock, random numbers, environment and stdin.
package main

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
		os.Exit(1)
	}
}

func refused(path string) {
	if _, err := os.ReadFile(path); err == nil {
		fmt.Fprintln(os.Stderr, "REACHED", path)
		os.Exit(2)
	}
	fmt.Println("refused", path)
}

func main() {
	fmt.Println("args", strings.Join(os.Args[1:], ","))
	fmt.Println("env", os.Getenv("GREETING"))

	must(filepath.WalkDir("/inputs", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Type().IsRegular() {
			info, err := entry.Info()
			if err != nil {
				return err
			}
			fmt.Println("file", path, info.Size())
		} else {
			fmt.Println("other", path, entry.Type())
		}
		return nil
	}))

	lines := 0
	for scanner := bufio.NewScanner(os.Stdin); scanner.Scan(); lines++ {
		fmt.Println("stdin", scanner.Text())
	}
	fmt.Println("lines", lines)

	must(os.MkdirAll("/outputs/deep/er", 0o755))
	for i := 0; i < 3; i++ {
		must(os.WriteFile(fmt.Sprintf("/outputs/deep/draft-%d", i), []byte(fmt.Sprint(i)), 0o644))
		must(os.Rename(fmt.Sprintf("/outputs/deep/draft-%d", i), fmt.Sprintf("/outputs/deep/er/final-%d", i)))
	}
	must(os.Remove("/outputs/deep/er/final-2"))
	entries, err := os.ReadDir("/outputs/deep/er")
	must(err)
	for _, entry := range entries {
		fmt.Println("made", entry.Name())
	}

	begin := time.Now()
	time.Sleep(20 * time.Millisecond)
	if slept := time.Since(begin); slept < 20*time.Millisecond {
		fmt.Fprintln(os.Stderr, "slept only", slept)
		os.Exit(1)
	}
	if begin.Year() < 2024 {
		fmt.Fprintln(os.Stderr, "clock says", begin)
		os.Exit(1)
	}
	one, two := make([]byte, 16), make([]byte, 16)
	_, err = rand.Read(one)
	must(err)
	_, err = rand.Read(two)
	must(err)
	if string(one) == string(two) {
		fmt.Fprintln(os.Stderr, "random numbers repeat")
		os.Exit(1)
	}

	refused("/etc/passwd")
	refused("../../../etc/passwd")
	refused("/inputs/planted")
	if err := os.WriteFile("/inputs/new", nil, 0o644); err == nil {
		fmt.Fprintln(os.Stderr, "REACHED /inputs/new")
		os.Exit(2)
	}
	if _, err := os.Stat("/inputs/new"); !os.IsNotExist(err) {
		fmt.Fprintln(os.Stderr, "expected no /inputs/new, got", err)
		os.Exit(2)
	}
	fmt.Println("done")
	os.Exit(7)
}
