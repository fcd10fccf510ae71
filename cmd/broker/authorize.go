package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
)

// authorization is how this program shows the broker who asks: by the file of --credentials, else by what the environment names;
// "" if nothing does.
func (c *cli) authorization() (string, error) {
	user, passwordFile, tokenFile := os.Getenv("BROKER_API_USER"), os.Getenv("BROKER_API_PASSWORD_FILE"), os.Getenv("BROKER_API_TOKEN_FILE")
	switch {
	case c.Credentials != "":
		line, err := secretFrom(c.Credentials)
		if err != nil {
			return "", err
		}
		if strings.Contains(line, ":") {
			return basic(line), nil
		}
		return "Bearer " + line, nil
	case tokenFile != "":
		token, err := secretFrom(tokenFile)
		return "Bearer " + token, err
	case user != "" && passwordFile == "":
		return "", errors.New("BROKER_API_USER is set without BROKER_API_PASSWORD_FILE: name the file that has the password")
	case user != "":
		password, err := secretFrom(passwordFile)
		return basic(user + ":" + password), err
	}
	return "", nil
}

func basic(login string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(login)) }

// secretFrom reads the first line of a file.
func secretFrom(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("credentials: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); strings.TrimSpace(line) == "" {
		return "", fmt.Errorf("credentials: the first line of %s is empty: write NAME:PASSWORD or a token into it", file)
	}
	return line, nil
}
