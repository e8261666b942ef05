// Loading through Boost.DLL, with every symbol resolved at once and none of them visible to other plugins.
#define BOOST_DLL_USE_STD_FS
#include "plugin/entry.hpp"

#include <dlfcn.h>

#include <boost/dll/shared_library.hpp>

#include "base/error.hpp"

namespace tenon {

PluginEntry open_plugin_entry(const std::filesystem::path& file, std::string_view place) {
  namespace dll = boost::dll;
  auto library = std::make_shared<dll::shared_library>();
  std::error_code ec;
  library->load(file, ec, dll::load_mode::rtld_now | dll::load_mode::rtld_local);
  if (ec) {
    const char* text = dlerror();
    fail(ErrorCode::bad_plugin, "[{}] does not load: {}", place, text ? text : ec.message());
  }
  if (!library->has("tenon_plugin")) fail(ErrorCode::bad_plugin, "[{}] does not export tenon_plugin", place);
  const tn_plugin& plugin = library->get<const tn_plugin>("tenon_plugin");
  if (plugin.size < sizeof(tn_plugin))
    fail(ErrorCode::bad_plugin, "[{}] tenon_plugin has {} bytes; expected {} or more", place, plugin.size,
         sizeof(tn_plugin));
  if (plugin.abi_major != TENON_ABI_MAJOR || plugin.abi_minor > TENON_ABI_MINOR)
    fail(ErrorCode::bad_plugin, "[{}] built for plugin ABI {}.{}; this host has {}.{}", place, plugin.abi_major,
         plugin.abi_minor, TENON_ABI_MAJOR, TENON_ABI_MINOR);
  if (!plugin.query) fail(ErrorCode::bad_plugin, "[{}] tenon_plugin has no query function", place);
  const auto* arch = static_cast<const tn_arch_v0*>(plugin.query(TENON_IFACE_ARCH));
  if (!arch) fail(ErrorCode::bad_plugin, "[{}] does not offer interface {}", place, TENON_IFACE_ARCH);
  if (!arch->match || !arch->open || !arch->describe || !arch->close)
    fail(ErrorCode::bad_plugin, "[{}] interface {} has an empty slot", place, TENON_IFACE_ARCH);
  return {std::move(library), &plugin, arch};
}

}  // namespace tenon
