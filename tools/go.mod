module github.com/signalbox-dev/signalbox/tools

go 1.26
