# Writes down what CMake makes of the description, in the order of an .s4ext file.
set(lines)
foreach(key DEPENDS RECOMMENDS BUILD_SUBDIRECTORY HOMEPAGE CONTRIBUTORS CATEGORY ICONURL STATUS TIER DESCRIPTION
        SCREENSHOTURLS ENABLED DICOM_SUPPORT_RULE KEYWORDS)
  string(TOLOWER ${key} name)
  string(APPEND lines "${name} ${EXTENSION_${key}}\n")
endforeach()
foreach(name README LICENSE)
  if(NOT EXISTS ${EXTENSION_${name}_FILE})
    message(FATAL_ERROR "There is no file ${EXTENSION_${name}_FILE}")
  endif()
endforeach()
file(WRITE ${CMAKE_BINARY_DIR}/${PROJECT_NAME}.s4ext "${lines}")
