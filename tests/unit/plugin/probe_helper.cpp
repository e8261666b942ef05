// A program whose main answers probes, as the tenon command's does.
#include "plugin/probe.hpp"

int main(int argc, char** argv) {
  const int status = tenon::probe_main(argc, argv);
  return status >= 0 ? status : 64;
}
