# A small stand-in for Slicer's build system: enough for the extension to be configured and installed without Slicer.
# The macros take the arguments that Slicer's and CTK's take, refuse others, and install the files that they are given.
include(CTest)
set(EXTENSION_ENABLED 1)
set(EXTENSION_BUILD_SUBDIRECTORY .)
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/nothing.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/nothing.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/describe.cmake)
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/Slicer/qt-scripted-modules)
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR ${Slicer_QTSCRIPTEDMODULES_LIB_DIR})

function(_refuse_what_is_wrong unparsed)
  if(NOT "${unparsed}" STREQUAL "")
    message(FATAL_ERROR "Unknown arguments: ${unparsed}")
  endif()
  foreach(name IN LISTS ARGN)
    if(IS_ABSOLUTE ${name} OR NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${name})
      message(FATAL_ERROR "${CMAKE_CURRENT_SOURCE_DIR} has no file ${name}")
    endif()
  endforeach()
endfunction()

function(ctkMacroCompilePythonScript)
  cmake_parse_arguments(MY "NO_INSTALL_SUBDIR" "TARGET_NAME;DESTINATION_DIR;INSTALL_DIR" "SCRIPTS;RESOURCES" ${ARGN})
  _refuse_what_is_wrong("${MY_UNPARSED_ARGUMENTS}" ${MY_SCRIPTS} ${MY_RESOURCES})
  if(NOT MY_NO_INSTALL_SUBDIR OR NOT IS_ABSOLUTE "${MY_DESTINATION_DIR}")
    message(FATAL_ERROR "${MY_TARGET_NAME} would be installed into '${MY_DESTINATION_DIR}'")
  endif()
  add_custom_target(${MY_TARGET_NAME})
  foreach(name IN LISTS MY_SCRIPTS MY_RESOURCES)
    get_filename_component(folder ${name} DIRECTORY)
    install(FILES ${name} DESTINATION ${MY_INSTALL_DIR}/${folder})
  endforeach()
endfunction()

function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  _refuse_what_is_wrong("${MY_UNPARSED_ARGUMENTS}")
  ctkMacroCompilePythonScript(
    TARGET_NAME ${MY_NAME}
    SCRIPTS ${MY_SCRIPTS}
    RESOURCES ${MY_RESOURCES}
    DESTINATION_DIR ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}
    INSTALL_DIR ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}
    NO_INSTALL_SUBDIR
    )
endfunction()

function(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "SCRIPT" "" ${ARGN})
  _refuse_what_is_wrong("${MY_UNPARSED_ARGUMENTS}" ${MY_SCRIPT})
  add_test(NAME py_${MY_SCRIPT} COMMAND ${CMAKE_COMMAND} -E true)
endfunction()
